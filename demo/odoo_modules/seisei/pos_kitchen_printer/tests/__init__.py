from . import test_escpos
from . import test_print_job
