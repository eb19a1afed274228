from . import test_ocr_document
