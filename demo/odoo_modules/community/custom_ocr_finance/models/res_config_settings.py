from odoo import _, api, fields, models
from odoo.exceptions import ValidationError


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    ocr_service_url = fields.Char(
        "OCR Service",
        config_parameter="custom_ocr_finance.url",
        help="Leave empty to use the address from the server's environment.",
    )
    ocr_min_confidence = fields.Float(
        "Minimum Confidence",
        config_parameter="custom_ocr_finance.min_confidence",
        default=0.8,
        help="Below this, a person looks at the result before the bill is filled in.",
    )

    @api.constrains("ocr_min_confidence")
    def _check_ocr_min_confidence(self):
        for settings in self:
            if not 0.0 <= settings.ocr_min_confidence <= 1.0:
                raise ValidationError(_("The minimum confidence lies between 0 and 1."))
