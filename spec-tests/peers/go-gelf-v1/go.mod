module go-gelf-v1-subject

go 1.21

require (
	gelf-subject v0.0.0
	go-gelf-v2-subject v0.0.0
	gopkg.in/Graylog2/go-gelf.v2 v2.0.0-20191017102106-1550ee647df0
)

replace (
	gelf-subject => ../../adapters/go
	go-gelf-v2-subject => ../go-gelf-v2
	gopkg.in/Graylog2/go-gelf.v2 => gopkg.in/Graylog2/go-gelf.v1 v1.0.0-20170811154226-7ebf4f536d8f
)
