"""A project of Django whose tasks run on SHARQ: texts to numbers, at the rate that each customer has bought."""
