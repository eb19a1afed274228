from odoo.exceptions import AccessError
from odoo.tests import TransactionCase, new_test_user, tagged


@tagged("post_install", "-at_install")
class TestDensity(TransactionCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.user = new_test_user(cls.env, "density_user", groups="base.group_user")

    def test_users_choose_for_themselves(self):
        self.user.with_user(self.user).write({"table_density": "compact"})
        self.assertEqual(self.user.table_density, "compact")

    def test_users_do_not_choose_for_others(self):
        other = new_test_user(self.env, "density_other", groups="base.group_user")
        with self.assertRaises(AccessError):
            other.with_user(self.user).write({"table_density": "compact"})

    def test_a_changed_rule_is_seen_at_once(self):
        rules = self.env["web.density.rule"]
        rule = rules.create({"model_id": self.env["ir.model"]._get_id("res.partner"), "density": "compact"})
        self.assertEqual(rules._density_by_model()["res.partner"], "compact")
        rule.density = "comfortable"
        self.assertEqual(rules._density_by_model()["res.partner"], "comfortable")
        rule.unlink()
        self.assertNotIn("res.partner", rules._density_by_model())
