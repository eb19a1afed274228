from odoo import fields, models

DENSITIES = [
    ("comfortable", "Comfortable"),
    ("default", "Default"),
    ("compact", "Compact"),
]


class ResUsers(models.Model):
    _inherit = "res.users"

    table_density = fields.Selection(DENSITIES, "Table Density", required=True, default="default")

    @property
    def SELF_READABLE_FIELDS(self):
        return super().SELF_READABLE_FIELDS + ["table_density"]

    @property
    def SELF_WRITEABLE_FIELDS(self):
        return super().SELF_WRITEABLE_FIELDS + ["table_density"]
