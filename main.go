// Command squall load-tests a system, breaks it on purpose, and proves whether it kept its promises.
package main

import (
	"os"
	"squall/cmd"
)

func main() { os.Exit(cmd.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
