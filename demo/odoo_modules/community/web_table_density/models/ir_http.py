from odoo import models


class IrHttp(models.AbstractModel):
    _inherit = "ir.http"

    def session_info(self):
        info = super().session_info()
        if self.env.user._is_internal():
            info["table_density"] = {
                "user": self.env.user.table_density,
                "models": self.env["web.density.rule"]._density_by_model(),
            }
        return info
