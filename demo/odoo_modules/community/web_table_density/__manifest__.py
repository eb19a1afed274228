{
    "name": "Table Density",
    "summary": "Let each user choose how tightly the rows of list views are set",
    "version": "18.0.1.1.0",
    "category": "Productivity",
    "author": "Driftlock Demo",
    "website": "https://erp.example.com",
    "license": "Other OSI approved licence",
    "depends": [
        "web",
    ],
    "data": [
        "security/ir.model.access.csv",
        "data/density_rules.xml",
        "views/web_density_rule_views.xml",
        "views/res_users_views.xml",
    ],
    "assets": {
        "web.assets_backend": [
            "web_table_density/static/src/scss/table_density.scss",
            "web_table_density/static/src/js/table_density.js",
        ],
    },
    "installable": True,
}
