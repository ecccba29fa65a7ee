module go-gelf-v1-subject

go 1.19

require (
	go-gelf-v2-subject v0.0.0
	gopkg.in/Graylog2/go-gelf.v2 v2.0.0-20191017102106-1550ee647df0
)

replace (
	go-gelf-v2-subject => ../go-gelf-v2
	gopkg.in/Graylog2/go-gelf.v2 => gopkg.in/Graylog2/go-gelf.v1 v1.0.0-20170811154226-7ebf4f536d8f
)
