from . import escpos
from . import kitchen_station
from . import kitchen_print_job
from . import pos_order
