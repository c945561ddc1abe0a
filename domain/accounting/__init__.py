"""Bookkeeping: the little that the law keeps of a purchase, apart from everything else."""
