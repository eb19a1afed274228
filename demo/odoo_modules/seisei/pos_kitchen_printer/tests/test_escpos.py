from odoo.tests import BaseCase, tagged

from ..models import escpos


@tagged("post_install", "-at_install")
class TestEscpos(BaseCase):
    def test_wrap_keeps_every_word(self):
        text = "2 x Grilled aubergine with sesame and a very long list of toppings"
        lines = escpos.wrap(text, 32, indent=4)
        self.assertEqual(" ".join(lines).split(), text.split())
        self.assertTrue(all(len(line) <= 32 for line in lines))

    def test_wrap_of_nothing_is_nothing(self):
        self.assertEqual(escpos.wrap("", 32, indent=4), [])

    def test_ticket_is_framed(self):
        ticket = escpos.ticket("Grill", "Order 7", [(2.0, "Soup", "no salt")], paper="58")
        self.assertTrue(ticket.startswith(escpos.INIT))
        self.assertTrue(ticket.endswith(escpos.FEED_AND_CUT))
        self.assertIn(b"2 x Soup\n", ticket)
        self.assertIn(b"    * no salt\n", ticket)

    def test_unknown_characters_do_not_stop_a_ticket(self):
        self.assertIn(b"1 x ??\n", escpos.ticket("Bar", "", [(1.0, "抹茶", "")]))
