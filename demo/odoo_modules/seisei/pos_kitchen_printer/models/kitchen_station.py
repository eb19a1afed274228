import socket

from odoo import _, api, fields, models
from odoo.exceptions import UserError, ValidationError

from . import escpos

TIMEOUT_SECONDS = 5


class KitchenStation(models.Model):
    _name = "kitchen.station"
    _description = "Kitchen Station"
    _order = "sequence, name"

    name = fields.Char("Name", required=True, translate=True)
    sequence = fields.Integer("Sequence", default=10)
    active = fields.Boolean("Active", default=True)
    company_id = fields.Many2one("res.company", "Company", required=True, default=lambda self: self.env.company)
    config_ids = fields.Many2many("pos.config", string="Points of Sale")
    category_ids = fields.Many2many("pos.category", string="Product Categories")
    host = fields.Char("Printer Host", required=True)
    port = fields.Integer("Printer Port", required=True, default=9100)
    copies = fields.Integer("Copies", required=True, default=1)
    paper = fields.Selection([("58", "58 mm"), ("80", "80 mm")], "Paper Width", required=True, default="80")
    encoding = fields.Selection(
        [("cp858", "Western European"), ("cp852", "Central European"), ("shift_jis", "Japanese")],
        "Code Page",
        required=True,
        default="cp858",
    )
    job_ids = fields.One2many("kitchen.print.job", "station_id", "Print Jobs")
    failed_count = fields.Integer("Failed Jobs", compute="_compute_failed_count")

    @api.constrains("port", "copies")
    def _check_ranges(self):
        for station in self:
            if not 0 < station.port < 65536:
                raise ValidationError(_("The printer port must lie between 1 and 65535."))
            if not 0 < station.copies <= 5:
                raise ValidationError(_("Between 1 and 5 copies can be printed."))

    @api.depends("job_ids.state")
    def _compute_failed_count(self):
        groups = self.env["kitchen.print.job"]._read_group(
            [("station_id", "in", self.ids), ("state", "=", "failed")], ["station_id"], ["__count"]
        )
        counts = {station.id: count for station, count in groups}
        for station in self:
            station.failed_count = counts.get(station.id, 0)

    def _wants(self, product):
        """Whether this station prints `product`; a station without categories prints everything."""
        self.ensure_one()
        return not self.category_ids or bool(self.category_ids & product.pos_categ_ids)

    def _send(self, payload):
        """Write `payload` to the printer once per copy. Raises OSError."""
        self.ensure_one()
        with socket.create_connection((self.host, self.port), timeout=TIMEOUT_SECONDS) as connection:
            for _copy in range(self.copies):
                connection.sendall(payload)

    def action_test_print(self):
        self.ensure_one()
        payload = escpos.ticket(
            self.name, _("Test ticket"), [(1, _("Everything is fine"), "")], self.paper, self.encoding
        )
        try:
            self._send(payload)
        except OSError as error:
            raise UserError(_("The printer did not answer: %s", error)) from error
