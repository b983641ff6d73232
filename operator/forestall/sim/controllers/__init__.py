"""Other controllers to compare with: HPA, KEDA, Crane, Predictive HPA, scheduled scaling, and alerts with runbooks.

Each is written from its public documentation. All read the same metrics at the same times and write the same field;
each decides for all services of a run at once.
"""
