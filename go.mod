module roomlog

go 1.25.0
