from codec.boolcoder cimport BoolReader, BoolWriter
from codec.decisions cimport Decisions

# The tables of mode_tables.py, where C code reaches them.
cdef unsigned char* key_y_mode_tree
cdef unsigned char* key_y_mode_probs
cdef unsigned char* y_mode_tree
cdef unsigned char* uv_mode_tree
cdef unsigned char* key_uv_mode_probs
cdef unsigned char* b_mode_tree
cdef unsigned char* b_mode_probs
cdef unsigned char* key_b_mode_probs
cdef unsigned char* small_mv_tree
cdef unsigned char* split_tree
cdef unsigned char* split_probs
cdef unsigned char* split_parts
cdef unsigned char* split_first
cdef unsigned char* split_part
cdef unsigned char* split_mv_contexts
cdef unsigned char* mode_contexts
