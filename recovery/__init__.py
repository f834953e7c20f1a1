"""The judgement: the words of the domain and the decisions over them. No I/O, no clock, no chance."""
