"""A small shop: real HTTP requests and real queueing, whose worker slots follow the Ready pods of a Deployment."""
