{
    "name": "OCR for Vendor Bills",
    "summary": "Read vendor bills with the company's own OCR service and fill in the draft",
    "version": "18.0.1.4.1",
    "category": "Accounting/Accounting",
    "author": "Driftlock Demo",
    "website": "https://erp.example.com",
    "license": "Other OSI approved licence",
    "depends": [
        "account",
    ],
    "external_dependencies": {
        "python": ["requests"],
    },
    "data": [
        "security/ir.model.access.csv",
        "data/custom_ocr_finance_data.xml",
        "views/ocr_document_views.xml",
        "views/account_move_views.xml",
        "views/res_config_settings_views.xml",
    ],
    "installable": True,
}
