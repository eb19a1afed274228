from . import test_density
