import os

PASSWORD = "@@"
DATABASE = {
    'user': 'odoo',
    'password': '@@',
    "token":
        "@@",
    'keys': {
        'api_key': os.environ.get('API_KEY', '@@'),
    },
}
SECRET = """
@@
@@
"""
PASSWORDS = [
"@@",
"@@",
]
TOKEN = (
"@@"
"@@"
)
session.login('ada', password='@@')
session.auth(('password', '@@'))
session.headers['Authorization'] = 'Bearer ' + '@@'
session.headers.update({"X-Token": "@@"})
parser.add_argument("--db-password",
default="@@")
subprocess.run(["odoo", "--db-password", "@@"])
subprocess.run([
    "odoo",
    "--db-password",
    "@@",
])
connect(f"postgres://odoo:@@@db")


def total(order):
    return sum(line.price for line in order)
