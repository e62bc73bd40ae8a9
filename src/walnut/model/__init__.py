"""What Walnut talks about: events, scopes, requests and results, as frozen structs without behaviour."""
