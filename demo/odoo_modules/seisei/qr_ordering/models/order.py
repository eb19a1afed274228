from datetime import timedelta

from odoo import _, api, fields, models
from odoo.exceptions import UserError

MAX_LINES = 40
MAX_QUANTITY = 20


class QrOrder(models.Model):
    _name = "qr.order"
    _description = "Table Order"
    _inherit = ["mail.thread"]
    _order = "submitted_at desc, id desc"

    name = fields.Char("Reference", required=True, readonly=True, copy=False, default="/")
    table_id = fields.Many2one("restaurant.table", "Table", required=True, ondelete="restrict", index=True)
    company_id = fields.Many2one("res.company", "Company", required=True, default=lambda self: self.env.company)
    currency_id = fields.Many2one(related="company_id.currency_id")
    line_ids = fields.One2many("qr.order.line", "order_id", "Lines", copy=True)
    guest_note = fields.Text("Guest Note")
    submitted_at = fields.Datetime("Submitted", readonly=True, copy=False)
    amount_total = fields.Monetary("Total", compute="_compute_amount_total", store=True)
    state = fields.Selection(
        [
            ("draft", "Draft"),
            ("submitted", "Submitted"),
            ("accepted", "Accepted"),
            ("served", "Served"),
            ("cancelled", "Cancelled"),
        ],
        "Status",
        default="draft",
        required=True,
        copy=False,
        index=True,
        tracking=True,
    )

    _sql_constraints = [
        ("name_company_uniq", "unique(name, company_id)", "An order with this reference exists already."),
    ]

    @api.depends("line_ids.price_subtotal")
    def _compute_amount_total(self):
        for order in self:
            order.amount_total = sum(order.line_ids.mapped("price_subtotal"))

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            if vals.get("name", "/") == "/":
                vals["name"] = self.env["ir.sequence"].next_by_code("qr.order") or "/"
        return super().create(vals_list)

    def action_submit(self):
        for order in self:
            if not order.line_ids:
                raise UserError(_("An order needs at least one line."))
            order._move_to("submitted", allowed=("draft",))
        self.write({"submitted_at": fields.Datetime.now()})

    def action_accept(self):
        self._move_to("accepted", allowed=("submitted",))

    def action_serve(self):
        self._move_to("served", allowed=("accepted",))

    def action_cancel(self):
        self._move_to("cancelled", allowed=("draft", "submitted", "accepted"))

    def _move_to(self, state, allowed):
        refused = self.filtered(lambda order: order.state not in allowed)
        if refused:
            raise UserError(
                _("These orders cannot change their status any more: %s", ", ".join(refused.mapped("name")))
            )
        self.write({"state": state})

    @api.model
    def _orderable_products(self, table):
        return self.env["product.product"].search(
            [
                ("available_in_pos", "=", True),
                ("sale_ok", "=", True),
                ("company_id", "in", (False, table.qr_company_id.id)),
            ],
            order="name",
        )

    @api.model
    def _create_from_guest(self, table, lines, guest_note=None):
        """Create and submit an order from what a browser sent.

        Only product and quantity are taken from the guest; prices are always looked up here.
        """
        if not isinstance(lines, list) or not 0 < len(lines) <= MAX_LINES:
            raise UserError(_("An order needs between 1 and %s lines.", MAX_LINES))
        orderable = set(self._orderable_products(table).ids)
        commands = []
        for line in lines:
            try:
                product_id, quantity = int(line["product_id"]), int(line["quantity"])
            except (KeyError, TypeError, ValueError):
                raise UserError(_("The order could not be read. Please reload the page.")) from None
            if product_id not in orderable:
                raise UserError(_("A dish on your order is no longer available. Please reload the page."))
            if not 0 < quantity <= MAX_QUANTITY:
                raise UserError(_("Please order between 1 and %s of each dish.", MAX_QUANTITY))
            commands.append(
                fields.Command.create({"product_id": product_id, "quantity": quantity})
            )
        order = self.with_company(table.qr_company_id).create(
            {
                "table_id": table.id,
                "company_id": table.qr_company_id.id,
                "guest_note": (guest_note or "")[:500],
                "line_ids": commands,
            }
        )
        order.action_submit()
        return order

    @api.model
    def _cron_cancel_stale(self, hours=6):
        """Cancel what nobody accepted: the guests have left."""
        limit = fields.Datetime.now() - timedelta(hours=hours)
        stale = self.search([("state", "in", ("draft", "submitted")), ("create_date", "<", limit)])
        stale.action_cancel()


class QrOrderLine(models.Model):
    _name = "qr.order.line"
    _description = "Table Order Line"
    _order = "order_id, id"

    order_id = fields.Many2one("qr.order", "Order", required=True, ondelete="cascade", index=True)
    product_id = fields.Many2one("product.product", "Product", required=True, ondelete="restrict")
    quantity = fields.Integer("Quantity", required=True, default=1)
    currency_id = fields.Many2one(related="order_id.currency_id")
    price_unit = fields.Monetary(
        "Unit Price", compute="_compute_price_unit", store=True, readonly=False, precompute=True
    )
    price_subtotal = fields.Monetary("Subtotal", compute="_compute_price_subtotal", store=True)

    _sql_constraints = [
        ("quantity_positive", "check(quantity > 0)", "The quantity must be positive."),
    ]

    @api.depends("product_id")
    def _compute_price_unit(self):
        for line in self:
            line.price_unit = line.product_id.lst_price

    @api.depends("quantity", "price_unit")
    def _compute_price_subtotal(self):
        for line in self:
            line.price_subtotal = line.quantity * line.price_unit
