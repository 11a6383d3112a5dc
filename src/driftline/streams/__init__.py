"""The stream steps: Faust agents over a batch transport, each thin around a pure or transactional core."""
