"""A whole local world of real servers, for the demo and the tests alone."""
