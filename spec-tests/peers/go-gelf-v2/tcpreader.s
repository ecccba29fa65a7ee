// Empty: see tcpreader.go.
