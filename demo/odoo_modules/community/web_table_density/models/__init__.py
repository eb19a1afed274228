from . import ir_http
from . import res_users
from . import web_density_rule
