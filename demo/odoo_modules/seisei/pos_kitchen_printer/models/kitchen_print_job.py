import base64
import logging

from odoo import api, fields, models

_logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
KEEP_DAYS = 14


class KitchenPrintJob(models.Model):
    _name = "kitchen.print.job"
    _description = "Kitchen Print Job"
    _order = "id desc"

    name = fields.Char("Order Reference", required=True, readonly=True)
    station_id = fields.Many2one("kitchen.station", "Station", required=True, readonly=True, ondelete="cascade")
    pos_order_id = fields.Many2one("pos.order", "Order", readonly=True, ondelete="set null", index="btree_not_null")
    payload = fields.Binary("Ticket", required=True, readonly=True, attachment=False)
    attempts = fields.Integer("Attempts", readonly=True)
    last_error = fields.Char("Last Error", readonly=True)
    printed_at = fields.Datetime("Printed", readonly=True)
    state = fields.Selection(
        [("queued", "Queued"), ("printed", "Printed"), ("failed", "Failed")],
        "Status",
        required=True,
        readonly=True,
        default="queued",
        index=True,
    )

    def _print(self):
        for job in self:
            attempts = job.attempts + 1
            try:
                job.station_id._send(base64.b64decode(job.payload))
            except OSError as error:
                _logger.warning("ticket %s did not reach %s: %s", job.name, job.station_id.name, error)
                job.write(
                    {
                        "attempts": attempts,
                        "last_error": str(error),
                        "state": "failed" if attempts >= MAX_ATTEMPTS else "queued",
                    }
                )
            else:
                job.write(
                    {
                        "attempts": attempts,
                        "last_error": False,
                        "printed_at": fields.Datetime.now(),
                        "state": "printed",
                    }
                )

    def action_retry(self):
        self.write({"state": "queued", "attempts": 0})
        self._print()

    @api.model
    def _cron_print_queued(self):
        # Oldest first: the kitchen cooks in the order of the tickets.
        self.search([("state", "=", "queued")], order="id asc", limit=100)._print()

    @api.autovacuum
    def _gc_printed(self):
        limit = fields.Datetime.subtract(fields.Datetime.now(), days=KEEP_DAYS)
        self.search([("state", "=", "printed"), ("printed_at", "<", limit)]).unlink()
