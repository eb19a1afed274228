import secrets

from odoo import api, fields, models


class RestaurantTable(models.Model):
    _inherit = "restaurant.table"

    qr_enabled = fields.Boolean("QR Ordering", default=True)
    qr_token = fields.Char(
        "QR Token",
        readonly=True,
        copy=False,
        index=True,
        groups="point_of_sale.group_pos_manager",
    )
    qr_url = fields.Char("QR Address", compute="_compute_qr_url", compute_sudo=True)
    qr_company_id = fields.Many2one("res.company", "QR Company", compute="_compute_qr_company_id")

    _sql_constraints = [
        ("qr_token_uniq", "unique(qr_token)", "Two tables cannot share one QR token."),
    ]

    @api.model_create_multi
    def create(self, vals_list):
        tables = super().create(vals_list)
        tables.sudo().action_renew_qr_token()
        return tables

    @api.model
    def _new_qr_token(self):
        return secrets.token_urlsafe(12)

    @api.depends("qr_token")
    def _compute_qr_url(self):
        parameters = self.env["ir.config_parameter"].sudo()
        base = parameters.get_param("qr_ordering.base_url") or parameters.get_param("web.base.url")
        for table in self:
            table.qr_url = f"{base}/qr/{table.qr_token}" if table.qr_token else False

    @api.depends("floor_id.pos_config_ids.company_id")
    def _compute_qr_company_id(self):
        for table in self:
            table.qr_company_id = table.floor_id.pos_config_ids[:1].company_id or self.env.company

    def action_renew_qr_token(self):
        """Make printed codes invalid, for example after a sticker was photographed and shared."""
        for table in self:
            table.qr_token = self._new_qr_token()
