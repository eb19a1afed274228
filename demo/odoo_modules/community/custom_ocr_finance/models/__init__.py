from . import ocr_document
from . import account_move
from . import res_config_settings
