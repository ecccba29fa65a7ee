module go-gelf-v2-subject

go 1.21

require (
	gelf-subject v0.0.0
	gopkg.in/Graylog2/go-gelf.v2 v2.0.0-20191017102106-1550ee647df0
)

replace gelf-subject => ../../adapters/go
