from odoo import http
from odoo.exceptions import UserError
from odoo.http import request


class QrOrdering(http.Controller):
    """The pages a guest sees: no login, the table's token is the only key."""

    def _table(self, token):
        return (
            request.env["restaurant.table"]
            .sudo()
            .search([("qr_token", "=", token), ("qr_enabled", "=", True)], limit=1)
        )

    @http.route("/qr/<string:token>", type="http", auth="public", methods=["GET"], sitemap=False)
    def menu(self, token, **_kwargs):
        table = self._table(token)
        if not table:
            return request.not_found()
        products = request.env["qr.order"].sudo()._orderable_products(table)
        return request.render(
            "qr_ordering.menu_page",
            {
                "table": table,
                "currency": table.qr_company_id.currency_id,
                "products_by_category": products.grouped(lambda p: p.pos_categ_ids[:1]),
            },
        )

    @http.route("/qr/<string:token>/submit", type="json", auth="public", methods=["POST"])
    def submit(self, token, lines, guest_note=None):
        table = self._table(token)
        if not table:
            return {"ok": False, "reason": "unknown_table"}
        try:
            order = request.env["qr.order"].sudo()._create_from_guest(table, lines, guest_note)
        except UserError as error:
            return {"ok": False, "reason": "rejected", "message": str(error)}
        return {"ok": True, "reference": order.name, "total": order.amount_total}

    @http.route("/qr/<string:token>/status/<string:reference>", type="json", auth="public", methods=["POST"])
    def status(self, token, reference):
        table = self._table(token)
        order = (
            request.env["qr.order"]
            .sudo()
            .search([("table_id", "=", table.id), ("name", "=", reference)], limit=1)
        )
        return {"ok": bool(table and order), "state": order.state or None}
