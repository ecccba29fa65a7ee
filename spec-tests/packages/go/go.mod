module example.org/gelf-vectors

go 1.21
