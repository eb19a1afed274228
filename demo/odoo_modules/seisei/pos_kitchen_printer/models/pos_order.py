import base64

from odoo import fields, models

from . import escpos


class PosOrder(models.Model):
    _inherit = "pos.order"

    kitchen_job_ids = fields.One2many("kitchen.print.job", "pos_order_id", "Kitchen Tickets")

    def action_pos_order_paid(self):
        result = super().action_pos_order_paid()
        self._queue_kitchen_tickets()
        return result

    def _queue_kitchen_tickets(self):
        """Queue one ticket per station that prints something of this order.

        Nothing is sent here: a printer without paper must not hold up the payment.
        """
        stations = self.env["kitchen.station"].sudo()
        for order in self.filtered(lambda order: not order.sudo().kitchen_job_ids):
            own_stations = stations.search(
                [
                    ("company_id", "=", order.company_id.id),
                    "|",
                    ("config_ids", "=", False),
                    ("config_ids", "in", order.config_id.ids),
                ]
            )
            for station in own_stations:
                items = order._kitchen_items(station)
                if items:
                    self.env["kitchen.print.job"].sudo().create(order._kitchen_job_values(station, items))

    def _kitchen_items(self, station):
        self.ensure_one()
        return [
            (line.qty, line.full_product_name or line.product_id.display_name, line.customer_note or "")
            for line in self.lines
            if line.qty > 0 and station._wants(line.product_id)
        ]

    def _kitchen_job_values(self, station, items):
        self.ensure_one()
        reference = self.pos_reference or self.name
        ordered_at = fields.Datetime.context_timestamp(self, self.date_order).strftime("%H:%M")
        payload = escpos.ticket(station.name, f"{reference}  {ordered_at}", items, station.paper, station.encoding)
        return {
            "name": reference,
            "station_id": station.id,
            "pos_order_id": self.id,
            "payload": base64.b64encode(payload),
        }
