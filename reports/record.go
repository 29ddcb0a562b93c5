// Package reports turns the measurements of a run into what a person or another program reads.
package reports
