from datetime import timedelta

from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import TransactionCase, tagged


@tagged("post_install", "-at_install")
class TestQrOrder(TransactionCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        floor = cls.env["restaurant.floor"].create({"name": "Terrace"})
        cls.table = cls.env["restaurant.table"].create({"floor_id": floor.id, "table_number": 7})
        cls.soup, cls.tea = cls.env["product.product"].create(
            [
                {"name": "Soup", "lst_price": 6.5, "available_in_pos": True},
                {"name": "Tea", "lst_price": 3.0, "available_in_pos": True},
            ]
        )

    def _order(self, *lines):
        return self.env["qr.order"]._create_from_guest(
            self.table, [{"product_id": product.id, "quantity": quantity} for product, quantity in lines]
        )

    def test_total_uses_our_prices(self):
        order = self.env["qr.order"]._create_from_guest(
            self.table, [{"product_id": self.soup.id, "quantity": 2, "price_unit": 0.01}]
        )
        self.assertEqual(order.state, "submitted")
        self.assertAlmostEqual(order.amount_total, 13.0)

    def test_bad_input_is_refused(self):
        for lines in (
            None,
            [],
            [{"product_id": self.soup.id}],
            [{"product_id": self.soup.id, "quantity": 0}],
            [{"product_id": self.soup.id, "quantity": 21}],
            [{"product_id": -1, "quantity": 1}],
        ):
            with self.subTest(lines=lines), self.assertRaises(UserError):
                self.env["qr.order"]._create_from_guest(self.table, lines)

    def test_status_moves_forward_only(self):
        order = self._order((self.soup, 1), (self.tea, 2))
        order.action_accept()
        order.action_serve()
        with self.assertRaises(UserError):
            order.action_cancel()

    def test_stale_orders_are_cancelled(self):
        fresh, stale = self._order((self.tea, 1)), self._order((self.tea, 1))
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE qr_order SET create_date = %s WHERE id = %s",
            (fields.Datetime.now() - timedelta(hours=7), stale.id),
        )
        self.env.invalidate_all()
        self.env["qr.order"]._cron_cancel_stale()
        self.assertEqual((fresh.state, stale.state), ("submitted", "cancelled"))

    def test_renewed_token_differs(self):
        before = self.table.qr_token
        self.table.action_renew_qr_token()
        self.assertNotEqual(self.table.qr_token, before)
