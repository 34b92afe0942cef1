#ifndef CNVML_H
#define CNVML_H
#endif
