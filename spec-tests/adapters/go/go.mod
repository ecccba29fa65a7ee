module gelf-subject

go 1.21
