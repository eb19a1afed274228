{
    "name": "POS Kitchen Printer",
    "summary": "Print paid orders on network receipt printers, one ticket per kitchen station",
    "version": "18.0.1.6.2",
    "category": "Sales/Point of Sale",
    "author": "Driftlock Demo",
    "website": "https://erp.example.com",
    "license": "Other OSI approved licence",
    "depends": [
        "point_of_sale",
    ],
    "data": [
        "security/ir.model.access.csv",
        "data/ir_cron.xml",
        "views/kitchen_station_views.xml",
        "views/kitchen_print_job_views.xml",
    ],
    "installable": True,
}
