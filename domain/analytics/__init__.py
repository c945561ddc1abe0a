"""Which tips are read and which tools are used, by those who said yes to being counted."""
