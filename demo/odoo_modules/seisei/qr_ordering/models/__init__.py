from . import order
from . import restaurant_table
