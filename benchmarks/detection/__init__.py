"""How often each way of watching speaks when nothing is wrong, and how soon when something is: ``make bench-detection``."""
