module go-gelf-grafana-subject

go 1.21

require (
	go-gelf-v2-subject v0.0.0
	gopkg.in/Graylog2/go-gelf.v2 v2.0.0-20191017102106-1550ee647df0
)

require gelf-subject v0.0.0 // indirect

replace (
	gelf-subject => ../../adapters/go
	go-gelf-v2-subject => ../go-gelf-v2
	gopkg.in/Graylog2/go-gelf.v2 => github.com/grafana/go-gelf/v2 v2.0.1
)
