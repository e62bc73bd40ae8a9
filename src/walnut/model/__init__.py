"""What Walnut talks about: events, scopes, times, requests and results, as frozen structs and pure functions."""
