"""What people use today, one controller a file, each written anew from its public documentation.

All of them see the same metrics at the same moments and write the same field; each decides for all services of a run
at once.
"""
