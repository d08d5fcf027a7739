"""The controller runtime: requests, queues, sources, controllers, a manager."""
