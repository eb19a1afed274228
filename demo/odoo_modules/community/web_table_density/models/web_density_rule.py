from odoo import api, fields, models, tools

from .res_users import DENSITIES


class WebDensityRule(models.Model):
    _name = "web.density.rule"
    _description = "Table Density Rule"
    _order = "model_id"
    _rec_name = "model_id"

    model_id = fields.Many2one("ir.model", "Model", required=True, ondelete="cascade")
    density = fields.Selection(DENSITIES, "Density", required=True, default="compact")
    active = fields.Boolean("Active", default=True)

    _sql_constraints = [
        ("model_uniq", "unique(model_id)", "There is a rule for this model already."),
    ]

    @api.model
    @tools.ormcache()
    def _density_by_model(self):
        rules = self.sudo().search([])
        return {rule.model_id.model: rule.density for rule in rules}

    @api.model_create_multi
    def create(self, vals_list):
        rules = super().create(vals_list)
        self.env.registry.clear_cache()
        return rules

    def write(self, vals):
        result = super().write(vals)
        self.env.registry.clear_cache()
        return result

    def unlink(self):
        result = super().unlink()
        self.env.registry.clear_cache()
        return result
