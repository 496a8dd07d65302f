"""Personal data in the text of a corpus: found in bulk, judged one by one, replaced by markers."""
