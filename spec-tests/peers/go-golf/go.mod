module go-golf-subject

go 1.21

require (
	gelf-subject v0.0.0
	github.com/aphistic/golf v0.0.0-20180712155816-02c07f170c5a
	github.com/google/uuid v1.6.0
)

replace gelf-subject => ../../adapters/go
