module go-gelf-v1-subject

go 1.19

require gopkg.in/Graylog2/go-gelf.v1 v1.0.0-20170811154226-7ebf4f536d8f
