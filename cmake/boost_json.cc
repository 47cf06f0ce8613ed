// The one translation unit that holds Boost.JSON's code (see its documentation, "Header-only").
#include <boost/json/src.hpp>
