{
    "name": "QR Table Ordering",
    "summary": "Guests scan the code on their table and send an order to the floor staff",
    "version": "18.0.2.3.0",
    "category": "Sales/Point of Sale",
    "author": "Driftlock Demo",
    "website": "https://erp.example.com",
    "license": "Other OSI approved licence",
    "depends": [
        "pos_restaurant",
        "mail",
    ],
    "data": [
        "security/ir.model.access.csv",
        "data/qr_ordering_data.xml",
        "views/order_views.xml",
        "views/templates.xml",
    ],
    "assets": {
        "web.assets_frontend": [
            "qr_ordering/static/src/scss/menu.scss",
            "qr_ordering/static/src/js/menu.js",
        ],
    },
    "post_init_hook": "post_init_hook",
    "application": True,
    "installable": True,
}
